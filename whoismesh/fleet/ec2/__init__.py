"""A fleet on Amazon EC2: a coordinator that stays, spot instances that come and go, all found by their run's tag."""
