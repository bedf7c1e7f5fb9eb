"""What each tensor gets when the model grows: rules as plain data."""
