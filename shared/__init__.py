"""The ground both wings stand on: values, wire formats, the pricing engine. Imports nothing else of ours."""
