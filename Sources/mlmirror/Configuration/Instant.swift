/// A moment as MLflow keeps it, milliseconds since 1970 in UTC, from and to text.
enum Instant {
    /// `YYYY-MM-DD` (its first moment, UTC) or RFC 3339 (`2024-01-31T12:00:00Z`, `2024-01-31T13:00:00.5+01:00`); nil for anything else.
    static func milliseconds(_ text: String) -> Int64? {
        var rest = Substring(text)
        guard let day = date(&rest) else { return nil }
        if rest.isEmpty { return day }
        guard let separator = rest.popFirst(), "Tt".contains(separator), let time = time(&rest), let offset = offset(&rest), rest.isEmpty
        else {
            return nil
        }
        return day + time - offset
    }

    /// RFC 3339 in UTC, with milliseconds.
    static func text(_ milliseconds: Int64) -> String {
        let day = milliseconds >= 0 ? milliseconds / 86_400_000 : (milliseconds - 86_399_999) / 86_400_000
        let rest = milliseconds - day * 86_400_000
        let (year, month, date) = civil(day)
        let clock = [(rest / 3_600_000, 2), (rest / 60_000 % 60, 2), (rest / 1000 % 60, 2)].map(padded).joined(separator: ":")
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(date, 2))T\(clock).\(padded(rest % 1000, 3))Z"
    }

    private static func date(_ text: inout Substring) -> Int64? {
        guard let year = digits(4, &text), skip("-", &text), let month = digits(2, &text), skip("-", &text), let day = digits(2, &text),
            (1...12).contains(month), day >= 1, day <= length(ofMonth: month, year)
        else { return nil }
        return days(year, month, day) * 86_400_000
    }

    private static func time(_ text: inout Substring) -> Int64? {
        guard let hour = digits(2, &text), skip(":", &text), let minute = digits(2, &text), skip(":", &text), let second = digits(2, &text),
            hour < 24, minute < 60, second < 60
        else { return nil }
        var result = ((hour * 60 + minute) * 60 + second) * 1000
        if skip(".", &text) {
            let fraction = text.prefix { $0.isASCII && $0.isNumber }
            guard !fraction.isEmpty, let thousandths = Int64((fraction + "00").prefix(3)) else { return nil }
            text = text.dropFirst(fraction.count)
            result += thousandths
        }
        return result
    }

    private static func offset(_ text: inout Substring) -> Int64? {
        guard let sign = text.popFirst() else { return nil }
        if sign == "Z" || sign == "z" { return 0 }
        guard sign == "+" || sign == "-", let hour = digits(2, &text), skip(":", &text), let minute = digits(2, &text), hour < 24,
            minute < 60
        else { return nil }
        return (sign == "+" ? 1 : -1) * (hour * 60 + minute) * 60_000
    }

    private static func digits(_ count: Int, _ text: inout Substring) -> Int64? {
        let found = text.prefix(count)
        guard found.count == count, found.allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
        text = text.dropFirst(count)
        return Int64(found)
    }

    private static func skip(_ character: Character, _ text: inout Substring) -> Bool {
        guard text.first == character else { return false }
        text = text.dropFirst()
        return true
    }

    private static func length(ofMonth month: Int64, _ year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Days since 1970 of a date of the Gregorian calendar. Years are counted from March, so that a leap day ends one.
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + dayOfYear - 719_468
    }

    /// The reverse, for days from the year 0 on.
    private static func civil(_ days: Int64) -> (Int64, Int64, Int64) {
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    private static func padded(_ number: Int64, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }
}
