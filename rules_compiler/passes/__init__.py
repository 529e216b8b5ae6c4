"""What is done with a document that has been read: one file is one function of its name."""
