"""Stores and the agents in them: enrolment, credentials, health."""
