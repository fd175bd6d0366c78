package pilotlight.runtime;

import java.lang.reflect.InvocationTargetException;
import java.math.BigDecimal;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.MonthDay;
import java.time.OffsetDateTime;
import java.time.OffsetTime;
import java.time.Year;
import java.time.YearMonth;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.time.format.DateTimeParseException;
import java.util.Date;
import java.util.List;

/** `java.time`, as Lambda's own runtime reads and writes it: moments are seconds with a fraction, dates are arrays. */
final class Times {
    private static final int NANO_DIGITS = 9;

    private Times() {
    }

    static Object read(Object json, Class<?> type) throws Throwable {
        if (json instanceof Number) {
            BigDecimal seconds = new BigDecimal(json.toString());
            long whole = seconds.longValue();
            long nanos = seconds.subtract(BigDecimal.valueOf(whole)).movePointRight(NANO_DIGITS).longValue();
            return ofNumber(whole, nanos, type);
        }
        if (json instanceof List) {
            return ofArray((List<?>) json, type);
        }
        String text = String.valueOf(json).trim();
        if (text.isEmpty()) {
            return null;
        }
        try {
            if (type == Instant.class) {
                return instant(text);
            }
            if (type == ZoneId.class || type == ZoneOffset.class) {
                return type.getMethod("of", String.class).invoke(null, text);
            }
            if (type == LocalDate.class && text.length() > 10 && text.charAt(10) == 'T') {
                return LocalDate.ofInstant(instant(text.endsWith("Z") ? text : text + "Z"), ZoneOffset.UTC);
            }
            if (type == OffsetDateTime.class || type == ZonedDateTime.class) {
                ZonedDateTime made = ZonedDateTime.parse(text).withZoneSameInstant(ZoneId.of("UTC"));
                return type == ZonedDateTime.class ? made : made.toOffsetDateTime();
            }
            boolean local = type == LocalDateTime.class && text.endsWith("Z"); // AWS: as if it were not there
            return type.getMethod("parse", CharSequence.class)
                .invoke(null, local ? text.substring(0, text.length() - 1) : text);
        } catch (InvocationTargetException error) {
            throw error.getCause();
        }
    }

    private static Object ofNumber(long seconds, long nanos, Class<?> type) {
        Instant instant = Instant.ofEpochSecond(seconds, nanos);
        if (type == Duration.class) {
            return Duration.ofSeconds(seconds, nanos);
        }
        if (type == Year.class) {
            return Year.of((int) seconds);
        }
        if (type == LocalDate.class) {
            return LocalDate.ofEpochDay(seconds);
        }
        if (type == OffsetDateTime.class) {
            return instant.atOffset(ZoneOffset.UTC);
        }
        if (type == ZonedDateTime.class) {
            return instant.atZone(ZoneId.of("UTC"));
        }
        if (type == Instant.class) {
            return instant;
        }
        throw Reader.mismatch(0, type);
    }

    private static Object ofArray(List<?> parts, Class<?> type) {
        int[] at = new int[7];
        for (int index = 0; index < parts.size() && index < at.length; index++) {
            at[index] = ((Number) parts.get(index)).intValue();
        }
        if (type == LocalDate.class) {
            return LocalDate.of(at[0], at[1], at[2]);
        }
        if (type == LocalDateTime.class) {
            return LocalDateTime.of(at[0], at[1], at[2], at[3], at[4], at[5], at[6]);
        }
        if (type == LocalTime.class) {
            return LocalTime.of(at[0], at[1], at[2], at[3]);
        }
        if (type == YearMonth.class) {
            return YearMonth.of(at[0], at[1]);
        }
        if (type == MonthDay.class) {
            return MonthDay.of(at[0], at[1]);
        }
        throw Reader.mismatch(parts, type);
    }

    static void write(StringBuilder into, Object value) {
        if (value instanceof Instant) {
            seconds(into, ((Instant) value).getEpochSecond(), ((Instant) value).getNano());
        } else if (value instanceof OffsetDateTime) {
            write(into, ((OffsetDateTime) value).toInstant());
        } else if (value instanceof ZonedDateTime) {
            write(into, ((ZonedDateTime) value).toInstant());
        } else if (value instanceof Duration) {
            seconds(into, ((Duration) value).getSeconds(), ((Duration) value).getNano());
        } else if (value instanceof LocalDate) {
            LocalDate date = (LocalDate) value;
            into.append('[').append(date.getYear()).append(',').append(date.getMonthValue()).append(',')
                .append(date.getDayOfMonth()).append(']');
        } else if (value instanceof LocalTime) {
            into.append('[');
            time(into, (LocalTime) value);
        } else if (value instanceof LocalDateTime) {
            write(into, ((LocalDateTime) value).toLocalDate());
            into.setCharAt(into.length() - 1, ',');
            time(into, ((LocalDateTime) value).toLocalTime());
        } else if (value instanceof OffsetTime) {
            into.append('[');
            time(into, ((OffsetTime) value).toLocalTime());
            into.setCharAt(into.length() - 1, ',');
            Json.quote(into, ((OffsetTime) value).getOffset().toString());
            into.append(']');
        } else if (value instanceof Year) {
            into.append(value);
        } else if (value instanceof YearMonth) {
            YearMonth month = (YearMonth) value;
            into.append('[').append(month.getYear()).append(',').append(month.getMonthValue()).append(']');
        } else {
            Json.quote(into, value.toString());
        }
    }

    /** A date that is a key. */
    static String text(Date date) {
        return DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSS'+00:00'").withZone(ZoneOffset.UTC).format(date.toInstant());
    }

    private static void seconds(StringBuilder into, long seconds, int nanos) {
        into.append(BigDecimal.valueOf(seconds).add(BigDecimal.valueOf(nanos, NANO_DIGITS)).toPlainString());
    }

    private static void time(StringBuilder into, LocalTime time) {
        into.append(time.getHour()).append(',').append(time.getMinute());
        if (time.getSecond() > 0 || time.getNano() > 0) {
            into.append(',').append(time.getSecond());
            if (time.getNano() > 0) {
                into.append(',').append(time.getNano());
            }
        }
        into.append(']');
    }

    /** A moment as `Date` accepts it: ISO 8601 with or without time, zone, and colon in the zone. */
    static Instant instant(String text) {
        if (text.chars().allMatch(Character::isDigit)) {
            return Instant.ofEpochMilli(Long.parseLong(text));
        }
        try {
            if (text.length() == 10) {
                return LocalDate.parse(text).atStartOfDay(ZoneOffset.UTC).toInstant();
            }
            DateTimeFormatter lenient = new DateTimeFormatterBuilder().append(DateTimeFormatter.ISO_LOCAL_DATE_TIME)
                .optionalStart().appendOffset("+HH:MM", "Z").optionalEnd()
                .optionalStart().appendOffset("+HHMM", "Z").optionalEnd().toFormatter();
            java.time.temporal.TemporalAccessor found =
                lenient.parseBest(text, OffsetDateTime::from, LocalDateTime::from);
            return found instanceof OffsetDateTime ? ((OffsetDateTime) found).toInstant()
                : ((LocalDateTime) found).toInstant(ZoneOffset.UTC);
        } catch (DateTimeParseException error) {
            return ZonedDateTime.parse(text, DateTimeFormatter.RFC_1123_DATE_TIME).toInstant();
        }
    }
}
