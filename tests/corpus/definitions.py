"""The C of the corpus: one symbol, `value`, in each of its forms, and programs that notice when it is another one."""

from __future__ import annotations

NUMBERS = {True: (41, 42, 43, 44), False: (60, 61, 62, 63)}
FORMS = {
    "function": "{attribute} int {symbol}(int x) {{ return {rule}; }}",
    "data": "{attribute} int {symbol}[{count}] = {{{numbers}}};",
    "constant": "{attribute} extern const int {symbol}[]; const int {symbol}[{count}] = {{{numbers}}};",
    "tls": "{attribute} __thread int {symbol}[{count}] = {{{numbers}}};",
    "indirect": "static int real(int x) {{ return {rule}; }} static int (*pick(void))(int) {{ return real; }}"
    ' int {symbol}(int x) __attribute__((ifunc("pick")));',
}
ALIASES = {
    "function": 'static int real(int x) { return 2 * x + 1; } int value(int x) __attribute__((alias("real")));',
    "data": 'static int real[4] = {41, 42, 43, 44}; extern int value[4] __attribute__((alias("real")));',
    "tls": "static __thread int real[4] = {41, 42, 43, 44};"
    ' extern __thread int value[4] __attribute__((alias("real")));',
}


def define(form: str, *, symbol: str = "value", good: bool = True, attribute: str = "", count: int = 4) -> str:
    """Return the C that defines the symbol; a bad one has another behaviour, as versions of a library may."""
    numbers = [*NUMBERS[good], 45, 46, 47, 48][:count]
    return FORMS[form].format(
        symbol=symbol,
        attribute=attribute,
        rule="2 * x + 1" if good else "3 * x",
        count=count,
        numbers=", ".join(str(one) for one in numbers),
    )


def helpers(form: str, count: int = 4, symbol: str = "value") -> str:
    """Return what a library says of its own view of the symbol: where it is, and whether it is what was put there."""
    if form in ("function", "indirect"):
        return f"int (*where(void))(int) {{ return {symbol}; }} int whole(void) {{ return {symbol}(20) == 41; }}"
    last = [41, 42, 43, 44, 45, 46, 47, 48][count - 1]
    kind = "const int" if form == "constant" else "int"
    return (
        f"{kind} *where(void) {{ return {symbol}; }}"
        f" int whole(void) {{ return {symbol}[{count - 1}] == {last} && {symbol}[0] == 41; }}"
    )


NO_HELPERS = "void *where(void) { return 0; } int whole(void) { return 1; }"
DECLARED = {
    "function": "int value(int); int (*where(void))(int); int whole(void);",
    "data": "extern int value[4]; int *where(void); int whole(void);",
    "constant": "extern const int value[4]; const int *where(void); int whole(void);",
    "tls": "extern __thread int value[4]; int *where(void); int whole(void);",
}
_READS = (
    "if (where() != value) return 5;"
    " for (int i = 0; i < 4; i++) if (value[i] != 41 + i || where()[i] != 41 + i) return 1;"
    " if (!whole()) return 2;"
)
_WRITES = "value[2] = 7; if (where()[2] != 7) return 3; where()[1] = 9; return value[1] == 9 ? 0 : 4;"
USES = {
    "function": "return value(20) == 41 ? 0 : 1;",
    "data": f"{_READS} {_WRITES}",
    "constant": f"{_READS} return 0;",
    "tls": f"{_READS} {_WRITES}",
}
POINTER = "int (*volatile mine)(int) = value; return mine == where() && mine(20) == 41 && whole() ? 0 : 1;"
WEAK = "int value(int) __attribute__((weak)); int main(void) { return value && value(20) == 41 ? 0 : 1; }"
OPTIONAL = (
    "int value(int); int missing(int) __attribute__((weak));"
    " int main(void) { return value(20) == 41 && !missing ? 0 : 1; }"
)
OLD = '__asm__(".symver value, value@V1"); int value(int); int main(void) { return value(20) == 60 ? 0 : 1; }'
MIDDLE = "int middle(void); int main(void) { return middle(); }"


def check(form: str, *, name: str = "main", body: str = "") -> str:
    """Return the C of a program, or of a function of a library between, that returns 0 where all is as it was."""
    return f"{DECLARED[form]} int {name}(void) {{ {body or USES[form]} }}"


def versioned(
    form: str, old: bool, new: bool, *, default: str = "V2", swapped: bool = False, third: bool = False
) -> str:
    """Return the C of a library that has the symbol at V1, at V2 or at both; by `@@@` its own code uses the default."""
    parts: list[str] = []
    if old:
        mark = "@@@" if default == "V1" else "@"
        parts.append(define(form, symbol="value_old", good=swapped) + f' __asm__(".symver value_old, value{mark}V1");')
    if new:
        mark = "@@@" if default == "V2" else "@"
        parts.append(
            define(form, symbol="value_new", good=not swapped) + f' __asm__(".symver value_new, value{mark}V2");'
        )
    if third:
        parts.append(define(form, symbol="value_third", good=False) + ' __asm__(".symver value_third, value@@@V3");')
    return " ".join(parts)
