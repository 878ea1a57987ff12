"""What a service can do with a model: the questions of a probe, what its replies mean, and the words for that.

Pure: it says what to ask and reads what came back. Who sends a question, or finds it in a cassette, is not known here.
"""
