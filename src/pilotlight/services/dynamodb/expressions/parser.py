"""Tokens → tree, by recursive descent: one grammar for all four kinds of expression.

What can be refused without a request's names and values is refused here, in the order in which DynamoDB does
it: syntax, redundant parentheses, unknown functions, misplaced functions, reserved words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pilotlight.errors import AwsError
from pilotlight.services.dynamodb.errors import invalid
from pilotlight.services.dynamodb.expressions import tree
from pilotlight.services.dynamodb.expressions.reserved import is_reserved
from pilotlight.services.dynamodb.expressions.tokens import Token, syntax_error, tokenise

T = TypeVar("T")
CONDITION_FUNCTIONS = frozenset(
    {"attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size"}
)
UPDATE_FUNCTIONS = frozenset({"if_not_exists", "list_append"})
COMPARATORS = frozenset({"=", "<>", "<", "<=", ">", ">="})
CONDITION_WORDS = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN"})
SECTIONS = frozenset({"SET", "REMOVE", "ADD", "DELETE"})
OPERANDS = (tree.Path, tree.Value, tree.Call, tree.Arithmetic)
NESTING_MAX = 100
"""Deeper than DynamoDB's 300 operators and 4 KB let a sensible expression be, and shallower than our own stack."""


def parse_condition(text: str, kind: str) -> tree.Condition:
    """`kind` is the parameter's name, such as `FilterExpression`."""
    parser = _Parser(text, kind, CONDITION_WORDS)
    condition = parser.condition()
    parser.expect_end()
    parser.raise_first("parentheses", "unknown", "misused", "reserved")
    return condition


def parse_update(text: str, kind: str = "UpdateExpression") -> tree.Update:
    parser = _Parser(text, kind, SECTIONS)
    actions = parser.update()
    parser.raise_first("reserved", "unknown", "misused", "section")
    return actions


def parse_projection(text: str, kind: str = "ProjectionExpression") -> tree.Projection:
    parser = _Parser(text, kind, frozenset())
    paths = parser.comma_separated(parser.path)
    parser.expect_end()
    parser.raise_first("reserved")
    return paths


class _Parser:
    def __init__(self, text: str, kind: str, words: frozenset[str]) -> None:
        self._text = text
        self._kind = kind
        self._words = words
        self._tokens = tokenise(text, kind)
        self._position = 0
        self._depth = 0
        self._faults: dict[str, str] = {}

    # Faults that are told after the syntax was found to be right.

    def _fault(self, group: str, message: str) -> None:
        self._faults.setdefault(group, message)

    def raise_first(self, *groups: str) -> None:
        for group in groups:
            if group in self._faults:
                raise invalid(f"Invalid {self._kind}: {self._faults[group]}")

    def _error(self) -> AwsError:
        return syntax_error(self._kind, self._text, self._tokens, self._position)

    # Moving on.

    @property
    def _token(self) -> Token:
        return self._tokens[self._position]

    def _is_symbol(self, text: str) -> bool:
        token = self._tokens[self._position]
        return token.kind == "symbol" and token.text == text

    def _take_symbol(self, text: str) -> bool:
        if self._is_symbol(text):
            self._position += 1
            return True
        return False

    def _expect_symbol(self, text: str) -> None:
        if not self._take_symbol(text):
            raise self._error()

    def _word(self) -> str:
        """The keyword here, in capitals, or nothing."""
        token = self._tokens[self._position]
        upper = token.text.upper() if token.kind == "name" else ""
        return upper if upper in self._words else ""

    def _take_word(self, word: str) -> bool:
        if self._word() == word:
            self._position += 1
            return True
        return False

    def expect_end(self) -> None:
        if self._token.kind != "end":
            raise self._error()

    def comma_separated(self, one: Callable[[], T]) -> tuple[T, ...]:
        found = [one()]
        while self._take_symbol(","):
            found.append(one())
        return tuple(found)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise invalid(f"Invalid {self._kind}: The expression is nested more than {NESTING_MAX} levels deep")

    # Conditions.

    def condition(self) -> tree.Condition:
        return self._as_condition(self._either())

    def _as_condition(self, found: tree.Condition | tree.Operand) -> tree.Condition:
        """A condition, and not a mere operand: else the token that follows is out of place."""
        if isinstance(found, tree.Path | tree.Value | tree.Arithmetic):
            raise self._error()
        if isinstance(found, tree.Call) and found.name == "size":
            self._misused(found.name)
        return found

    def _either(self) -> tree.Condition | tree.Operand:
        found = self._both()
        while self._word() == "OR":
            left = self._as_condition(found)
            self._position += 1
            found = tree.Or(left, self._as_condition(self._both()))
        return found

    def _both(self) -> tree.Condition | tree.Operand:
        found = self._negated()
        while self._word() == "AND":
            left = self._as_condition(found)
            self._position += 1
            found = tree.And(left, self._as_condition(self._negated()))
        return found

    def _negated(self) -> tree.Condition | tree.Operand:
        if not self._take_word("NOT"):
            return self._simple()
        self._deeper()
        inner = self._as_condition(self._negated())
        self._depth -= 1
        return tree.Not(inner)

    def _simple(self) -> tree.Condition | tree.Operand:
        left = self._primary()
        if not isinstance(left, OPERANDS):
            return left
        token, word = self._token, self._word()
        if token.kind == "symbol" and token.text in COMPARATORS:
            self._position += 1
            operands = (left, self._operand())
            self._check_uses(*operands)
            return tree.Comparison(token.text, *operands)
        if word == "BETWEEN":
            self._position += 1
            low = self._operand()
            if not self._take_word("AND"):
                raise self._error()
            high = self._operand()
            self._check_uses(left, low, high)
            return tree.Between(left, low, high)
        if word == "IN":
            self._position += 1
            self._expect_symbol("(")
            choices = self.comma_separated(self._operand)
            self._expect_symbol(")")
            self._check_uses(left, *choices)
            return tree.In(left, choices)
        return left

    def _primary(self) -> tree.Condition | tree.Operand:
        """An operand, or either in parentheses."""
        if not self._is_symbol("("):
            return self._plain_operand()
        opened = self._position
        self._position += 1
        self._deeper()
        found = self._either()
        self._expect_symbol(")")
        self._depth -= 1
        self._check_parentheses(opened, self._position - 1)
        return self._steps(found) if isinstance(found, tree.Path) else found

    def _check_parentheses(self, opened: int, closed: int) -> None:
        """`((a))`: where a pair holds nothing but another pair."""
        if self._tokens[opened + 1].text == "(" and self._tokens[closed - 1].text == ")":
            depth = 0
            for position in range(opened + 1, closed):
                text = self._tokens[position].text
                depth += (text == "(") - (text == ")")
                if depth == 0 and position < closed - 1:
                    return
            self._fault("parentheses", "The expression has redundant parentheses;")

    def _operand(self) -> tree.Operand:
        found = self._primary()
        if isinstance(found, tree.Path | tree.Value | tree.Call | tree.Arithmetic):
            return found
        raise self._error()

    def _plain_operand(self) -> tree.Operand:
        token = self._token
        if token.kind == "value":
            self._position += 1
            return tree.Value(token.text)
        follows = self._tokens[min(self._position + 1, len(self._tokens) - 1)]
        if token.kind == "name" and follows.text == "(" and not self._word():
            return self._call()
        return self.path()

    def _call(self) -> tree.Call:
        name = self._token.text
        self._position += 2
        self._deeper()
        arguments = self.comma_separated(self._operand if self._words is not SECTIONS else self._set_operand)
        self._expect_symbol(")")
        self._depth -= 1
        self._check_function(name)
        if self._words is not SECTIONS:
            self._check_uses(*arguments)
        return tree.Call(name, arguments)

    def _check_function(self, name: str) -> None:
        mine, others, where = (CONDITION_FUNCTIONS, UPDATE_FUNCTIONS, "a condition")
        if self._words is SECTIONS:
            mine, others, where = (UPDATE_FUNCTIONS, CONDITION_FUNCTIONS, "an update")
        if name in others:
            self._fault("unknown", f"The function is not allowed in {where} expression; function: {name}")
        elif name not in mine:
            self._fault("unknown", f"Invalid function name; function: {name}")

    def _check_uses(self, *operands: tree.Operand) -> None:
        """Only `size` gives a value; the other functions are conditions of their own."""
        for operand in operands:
            if isinstance(operand, tree.Call) and operand.name != "size":
                self._misused(operand.name)

    def _misused(self, name: str) -> None:
        self._fault("misused", f"The function is not allowed to be used this way in an expression; function: {name}")

    # Document paths.

    def path(self) -> tree.Path:
        return self._steps(tree.Path((self._attribute(),)))

    def _steps(self, path: tree.Path) -> tree.Path:
        parts = list(path.parts)
        while True:
            if self._take_symbol("."):
                parts.append(self._attribute())
            elif self._take_symbol("["):
                if self._token.kind != "number":
                    raise self._error()
                parts.append(int(self._token.text))
                self._position += 1
                self._expect_symbol("]")
            else:
                return tree.Path(tuple(parts))

    def _attribute(self) -> str:
        token = self._token
        if token.kind == "name" and not self._word():
            if is_reserved(token.text):
                self._fault("reserved", f"Attribute name is a reserved keyword; reserved keyword: {token.text}")
        elif token.kind != "alias":
            raise self._error()
        self._position += 1
        return token.text

    # Updates.

    def update(self) -> tree.Update:
        actions: list[tree.Action] = []
        seen: set[str] = set()
        while True:
            section = self._word()
            if not section:
                raise self._error()
            self._position += 1
            if section in seen:
                self._fault("section", f'The "{section}" section can only be used once in an update expression;')
            seen.add(section)
            one = {"SET": self._set, "REMOVE": self._remove}.get(section) or self._with_value(section)
            actions += self.comma_separated(one)
            if self._token.kind == "end":
                return tuple(actions)

    def _set(self) -> tree.Action:
        path = self.path()
        self._expect_symbol("=")
        return tree.Action("SET", path, self._set_value())

    def _remove(self) -> tree.Action:
        return tree.Action("REMOVE", self.path())

    def _with_value(self, section: str) -> Callable[[], tree.Action]:
        def one() -> tree.Action:
            path = self.path()
            if self._token.kind != "value":
                raise self._error()
            self._position += 1
            return tree.Action(section, path, tree.Value(self._tokens[self._position - 1].text))

        return one

    def _set_value(self) -> tree.Operand:
        if self._is_symbol("("):
            # AWS: one pair of parentheses around the whole is taken, and one around each operand.
            start = self._position
            self._position += 1
            inner = self._sum()
            if self._take_symbol(")") and self._token.text not in ("+", "-"):
                return inner
            self._position = start
        return self._sum()

    def _sum(self) -> tree.Operand:
        left = self._set_operand()
        for operator in ("+", "-"):
            if self._take_symbol(operator):
                return tree.Arithmetic(operator, left, self._set_operand())
        return left

    def _set_operand(self) -> tree.Operand:
        if not self._take_symbol("("):
            return self._plain_operand()
        inner = self._plain_operand()
        self._expect_symbol(")")
        return inner
