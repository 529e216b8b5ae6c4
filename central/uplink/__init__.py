"""The other end of the agents' uplink: enrolment, hello, streams, feed, bundles."""
