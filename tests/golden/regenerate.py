"""Write the golden requests anew, deliberately: `python -m tests.golden.regenerate`, in the folder of the repository.

Keys are in them: read the difference before committing it, and say in CHANGELOG.md what will be asked again.
"""

from __future__ import annotations

from tests.golden import ask_requests, client_requests, golden_file


def main() -> None:
    """Write both files."""
    golden_file.write(ask_requests.FILE, ask_requests.LIBRARIES, ask_requests.ask_requests())
    golden_file.write(client_requests.FILE, client_requests.LIBRARIES, client_requests.client_requests())


if __name__ == "__main__":
    main()
