/// Numbers as people read them, the same in every locale.
enum Quantity {
    /// `1,234,567`.
    static func count(_ number: Int) -> String {
        let digits = Array(String(number.magnitude))
        var result = number < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index).isMultiple(of: 3) { result.append(",") }
            result.append(digit)
        }
        return result
    }

    /// `1 file`, `1,234 files`.
    static func count(_ number: Int, _ one: String, _ many: String? = nil) -> String {
        "\(count(number)) \(number == 1 ? one : many ?? one + "s")"
    }

    /// `512 B`, `6.8 MB`: powers of a thousand.
    static func bytes(_ number: Int64) -> String {
        var value = Double(number)
        for unit in ["B", "kB", "MB", "GB", "TB"] {
            if value < 999.95 || unit == "TB" { return unit == "B" ? "\(number) B" : "\(decimal(value)) \(unit)" }
            value /= 1000
        }
        return "\(number) B"
    }

    /// Of a rate, which may be anything where another process has said it.
    static func bytes(rate: Double) -> String { rate.magnitude < 1e18 ? bytes(Int64(rate)) : "unknown" }

    /// `0.4 s`, `12.3 s`, `3 min 5 s`, `2 h 7 min`, `3 d 4 h`.
    static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0, seconds < 1e10 else { return "unknown" }
        if seconds < 59.95 { return "\(decimal(seconds)) s" }
        let whole = Int(seconds.rounded())
        if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
        if whole < 86_400 { return "\(whole / 3600) h \(whole / 60 % 60) min" }
        return "\(whole / 86_400) d \(whole / 3600 % 24) h"
    }

    /// One digit after the point.
    static func decimal(_ value: Double) -> String {
        guard value.magnitude < 1e15 else { return "unknown" }
        let tenths = Int((value * 10).rounded())
        return "\(tenths < 0 ? "-" : "")\(count(abs(tenths) / 10)).\(abs(tenths) % 10)"
    }
}
