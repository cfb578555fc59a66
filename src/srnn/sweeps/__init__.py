# SPDX-License-Identifier: MPL-2.0
"""Sweeps: many runs that differ in some keys, chosen and compared by Optuna.

`reading` makes a `Sweep` of a TOML file: its tables (`keys`) and what is varied (`space`). `study`
joins the study of a sweep, hands out its trials and stores their results, in a `storage`. `worker`
trains trials, `jobs` starts several workers, `table` returns trials as rows and prints them.

Optuna is an optional package: `srnn.packages.expect_packages` comes before `storage`, `study` and
what imports them.
"""
