"""What a data engineer launches."""
