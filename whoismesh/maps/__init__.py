"""Pictures of a snapshot: `layers` (what is shown of a record), `looks` (colours), `cells` (what each cell of a Hilbert
curve shows), `drawing` (where everything stands), `making` (all of it together), and files of it: `png`, `svg`.
"""  # noqa: D205 - one sentence
