"""The ground both wings stand on: values, wire formats, the engine; imports no other room."""
