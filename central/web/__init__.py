"""The pages of head office: server-rendered, two languages, nothing loaded from outside."""
