import Curl

/// How long a service asks its clients to wait.
enum RetryAfter {
    /// The longest that is obeyed, in seconds.
    static let longest: Double = 3600

    /// Seconds from `Retry-After`: a number or an HTTP date (RFC 9110, section 10.2.3), at most an hour.
    ///
    /// - Parameter now: in seconds since 1970.
    static func seconds(_ headers: [HTTPHeader], now: @autoclosure () -> Double) -> Double? {
        guard let text = headers.first(where: { $0.name.lowercased() == "retry-after" })?.value else { return nil }
        let trimmed = text[...].trimmingSpaces()
        let seconds = Double(trimmed) ?? HTTPDate.parse(String(trimmed)).map { $0 - now() }
        guard let seconds, seconds.isFinite else { return nil }
        return min(max(seconds, 0), longest)
    }
}

/// The three date formats of RFC 9110, section 5.6.7.
enum HTTPDate {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Seconds since 1970.
    static func parse(_ text: String) -> Double? {
        let words = text.split { $0 == " " || $0 == "," || $0 == "-" }
        // "Sun 06 Nov 1994 08:49:37 GMT", "Sunday 06 Nov 94 08:49:37 GMT", "Sun Nov 6 08:49:37 1994"
        guard words.count >= 5 else { return nil }
        let isAsctime = Int(words[1]) == nil
        let (dayText, monthText, yearText, clock) =
            isAsctime ? (words[2], words[1], words[4], words[3]) : (words[1], words[2], words[3], words[4])
        guard let day = Int(dayText), let month = months.firstIndex(of: String(monthText)), var year = Int(yearText) else { return nil }
        if year < 100 { year += year < 70 ? 2000 : 1900 }
        let time = clock.split(separator: ":").compactMap { Int($0) }
        guard time.count == 3, (0...23).contains(time[0]), (0...59).contains(time[1]), (0...60).contains(time[2]), (1...31).contains(day),
            (1970...9999).contains(year)
        else { return nil }
        return Double(days(year, month + 1, day) * 86400 + time[0] * 3600 + time[1] * 60 + time[2])
    }

    /// Days since 1970-01-01 in the Gregorian calendar.
    private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let y = month <= 2 ? year - 1 : year
        let era = y / 400
        let yearOfEra = y - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719468
    }
}
