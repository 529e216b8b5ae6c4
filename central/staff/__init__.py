"""Staff of head office: who may sign in, and the sessions they hold."""
