# SPDX-License-Identifier: Apache-2.0
"""The client session: joins a run, fetches models, has them trained, submits updates.

The session is small and imports neither numpy nor torch: it moves files and talks to
the server. A trainer works in a child process; what it leaves behind is a file. No
decision about rounds is made here, and no component's code runs here.
"""
