"""Calls to a service: the gate, pacing, retries, the lean transport and the SDK's client.

Import the module you need: `chat` is pure and light; `transport`, `retry` and `openai_client` load the
network libraries and so belong to the live path alone.
"""
