"""The programme in force at this shop, the one before it, and how a new one takes its place."""
