# SPDX-License-Identifier: Apache-2.0
"""Entry points: a trainer, a model and a validator that are commands of the MMAR.

Each command is a program of its own that reads and writes files, whatever it is written in.
This package starts it with limits, ends what it leaves behind, and believes none of its files.
"""
