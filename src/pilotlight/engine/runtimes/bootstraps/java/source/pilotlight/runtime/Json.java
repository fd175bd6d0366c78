package pilotlight.runtime;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Text to values: maps, lists, strings, numbers, booleans and null. As lenient as Lambda's own reader: single quotes,
 * names without quotes, leading zeros, NaN, control characters in strings.
 */
final class Json {
    static final class Malformed extends RuntimeException {
        private static final long serialVersionUID = 1;

        Malformed(String message) {
            super(message);
        }
    }

    private static final int DEPTH_MAX = 1000;

    private final String text;
    private int at;
    private int depth;

    private Json(String text) {
        this.text = text;
    }

    static Object parse(String text) {
        Json json = new Json(text);
        json.blank();
        if (json.at == text.length()) {
            throw new Malformed("No content to map due to end-of-input");
        }
        Object value = json.value();
        return value;
    }

    private Object value() {
        blank();
        char next = peek();
        switch (next) {
            case '{':
                return object();
            case '[':
                return array();
            case '"':
            case '\'':
                return string();
            default:
                return next == '-' || next >= '0' && next <= '9' ? number() : word();
        }
    }

    private Map<String, Object> object() {
        Map<String, Object> made = new LinkedHashMap<>();
        enter();
        for (boolean first = true; !ends('}', first); first = false) {
            blank();
            char next = peek();
            String name = next == '"' || next == '\'' ? string() : bare();
            blank();
            if (peek() != ':') {
                throw unexpected("was expecting a colon to separate field name and value");
            }
            at++;
            made.put(name, value());
        }
        depth--;
        return made;
    }

    private List<Object> array() {
        List<Object> made = new ArrayList<>();
        enter();
        for (boolean first = true; !ends(']', first); first = false) {
            made.add(value());
        }
        depth--;
        return made;
    }

    private void enter() {
        at++;
        if (++depth > DEPTH_MAX) {
            throw new Malformed("Document nesting depth (" + depth + ") exceeds the maximum allowed (" + DEPTH_MAX + ")");
        }
    }

    /** Whether the container ends here; else its comma is passed. */
    private boolean ends(char closing, boolean first) {
        blank();
        if (peek() == closing) {
            at++;
            return true;
        }
        if (!first) {
            if (peek() != ',') {
                throw unexpected("was expecting comma to separate entries");
            }
            at++;
        }
        return false;
    }

    private String bare() {
        int from = at;
        while (at < text.length() && Character.isJavaIdentifierPart(text.charAt(at))) {
            at++;
        }
        if (from == at) {
            throw unexpected("was expecting double-quote to start field name");
        }
        return text.substring(from, at);
    }

    private String string() {
        char quote = text.charAt(at++);
        int from = at;
        while (at < text.length()) {
            char next = text.charAt(at);
            if (next == quote) {
                return text.substring(from, at++);
            }
            if (next == '\\') {
                return escaped(quote, from);
            }
            at++;
        }
        throw new Malformed("Unexpected end-of-input: was expecting closing quote for a string value");
    }

    private String escaped(char quote, int from) {
        StringBuilder made = new StringBuilder(text.length() - from < 64 ? 64 : at - from + 64).append(text, from, at);
        while (true) {
            char next = take();
            if (next == quote) {
                return made.toString();
            }
            if (next != '\\') {
                made.append(next);
                continue;
            }
            char escape = take();
            switch (escape) {
                case 'b': made.append('\b'); break;
                case 'f': made.append('\f'); break;
                case 'n': made.append('\n'); break;
                case 'r': made.append('\r'); break;
                case 't': made.append('\t'); break;
                case 'u': made.append(hexadecimal()); break;
                default: made.append(escape);
            }
        }
    }

    private char hexadecimal() {
        int code = 0;
        for (int index = 0; index < 4; index++) {
            int digit = Character.digit(take(), 16);
            if (digit < 0) {
                throw unexpected("expected a hex-digit for character escape sequence");
            }
            code = code * 16 + digit;
        }
        return (char) code;
    }

    private char take() {
        if (at >= text.length()) {
            throw new Malformed("Unexpected end-of-input in a string value");
        }
        return text.charAt(at++);
    }

    private Object number() {
        int from = at;
        boolean whole = true;
        if (peek() == '-') {
            at++;
            if (at < text.length() && Character.isLetter(text.charAt(at))) {
                Object word = word();
                return -((Number) word).doubleValue();
            }
        }
        for (; at < text.length(); at++) {
            char next = text.charAt(at);
            if (next == '.' || next == 'e' || next == 'E') {
                whole = false;
            } else if ((next < '0' || next > '9') && !(!whole && (next == '-' || next == '+'))) {
                break;
            }
        }
        String digits = text.substring(from, at);
        try {
            if (!whole) {
                if (digits.endsWith(".") || digits.indexOf('.') >= 0 && digits.matches(".*\\.[eE].*")) {
                    throw new Malformed("Unexpected character in a numeric value: Decimal point not followed by a digit");
                }
                return new BigDecimal(digits);
            }
            if (digits.length() < 10) {
                return Integer.valueOf(digits);
            }
            BigInteger big = digits.length() < 19 ? null : new BigInteger(digits);
            if (big != null && big.bitLength() > 63) {
                return big;
            }
            long made = Long.parseLong(digits);
            return made == (int) made ? (Object) (int) made : (Object) made;
        } catch (NumberFormatException error) {
            throw new Malformed("Unexpected character in a numeric value: " + digits);
        }
    }

    private Object word() {
        int from = at;
        while (at < text.length() && Character.isLetter(text.charAt(at))) {
            at++;
        }
        String word = text.substring(from, at);
        switch (word) {
            case "true":
                return Boolean.TRUE;
            case "false":
                return Boolean.FALSE;
            case "null":
                return null;
            case "NaN":
                return Double.NaN;
            case "Infinity":
            case "INF":
                return Double.POSITIVE_INFINITY;
            default:
                at = from;
                throw word.isEmpty()
                    ? unexpected("expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')")
                    : new Malformed("Unrecognized token '" + word + "': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')");
        }
    }

    private void blank() {
        while (at < text.length() && text.charAt(at) <= ' ') {
            at++;
        }
    }

    private char peek() {
        if (at >= text.length()) {
            throw new Malformed("Unexpected end-of-input");
        }
        return text.charAt(at);
    }

    private Malformed unexpected(String wanted) {
        char found = peek();
        return new Malformed("Unexpected character ('" + found + "' (code " + (int) found + ")): " + wanted);
    }

    /** Appends a string with its quotes. */
    static void quote(StringBuilder into, String value) {
        into.append('"');
        int from = 0;
        for (int index = 0; index < value.length(); index++) {
            char next = value.charAt(index);
            if (next >= ' ' && next != '"' && next != '\\') {
                continue;
            }
            into.append(value, from, index).append('\\');
            from = index + 1;
            switch (next) {
                case '"': into.append('"'); break;
                case '\\': into.append('\\'); break;
                case '\b': into.append('b'); break;
                case '\f': into.append('f'); break;
                case '\n': into.append('n'); break;
                case '\r': into.append('r'); break;
                case '\t': into.append('t'); break;
                default: into.append("u00").append(Character.forDigit(next >> 4, 16)).append(hex(next & 15));
            }
        }
        into.append(value, from, value.length()).append('"');
    }

    private static char hex(int digit) {
        return Character.toUpperCase(Character.forDigit(digit, 16));
    }
}
