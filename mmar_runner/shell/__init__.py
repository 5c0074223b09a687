# SPDX-License-Identifier: Apache-2.0
"""The room of shell commands without a shell: what an administrator may look at in a run's folder.

Seven commands (``pwd``, ``ls``, ``cat``, ``head``, ``tail``, ``grep``, ``env``) that are parsed
and carried out here, on files below one folder. No process is started for them, nothing is
looked up on a path, and no word is expanded. Beside them: what the machine has and how it is
loaded. Everything here blocks; callers that must not wait use a thread.
"""
