"""Condition, filter, key condition, update and projection expressions. Pure.

`parser` turns text into a tree, in which names and values are still placeholders; `binding` puts in a request's
names and values, and checks them as DynamoDB does; `conditions`, `updates`, `projections` and `key_conditions`
give the bound tree its meaning. Trees are kept by `ParseCache`.
"""
