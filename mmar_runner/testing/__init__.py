# SPDX-License-Identifier: Apache-2.0
"""Public kit for people who write plugins, trainers or tests around the runner.

- `builders`: writes MMAR folders.
- `federation`: a whole federation in one process.
- `processes`: real server and client processes.
- `recorder`: an observer that remembers and can be waited for.
- `contracts`: what every component of a kind must hold, as tests to inherit.

Nothing in the runner imports this package.
"""
