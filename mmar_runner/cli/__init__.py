# SPDX-License-Identifier: Apache-2.0
"""The room of the commands: parse, call, render.

One file a command, each exposing ``command``; they are imported only when they are
called, so that ``--help`` is quick. This room composes the others. It decides nothing
about rounds, opens no socket and computes nothing.
"""
