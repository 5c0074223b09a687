# SPDX-License-Identifier: Apache-2.0
"""Server optimizers. `plugin` registers them, `optimizers` is them; nothing else is here."""
