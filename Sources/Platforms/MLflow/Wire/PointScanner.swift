import Glibc
import Replication

/// A cursor over bytes that may end in the middle of anything.
struct PointScanner {
    /// What was begun may go on in bytes that are not here yet.
    struct NeedsMore: Error {}
    struct Malformed: Error { var offset: Int }

    let bytes: UnsafeBufferPointer<UInt8>
    var at = 0

    init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    /// Skips white space; nil at the end.
    mutating func nextVisible() -> UInt8? {
        while at < bytes.count {
            let byte = bytes[at]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return byte }
            at += 1
        }
        return nil
    }

    mutating func peek() throws -> UInt8 {
        guard let byte = nextVisible() else { throw NeedsMore() }
        return byte
    }

    mutating func colon() throws {
        guard try peek() == UInt8(ascii: ":") else { throw Malformed(offset: at) }
        at += 1
    }

    /// A string at the cursor: what is between its quotes, escapes unresolved.
    mutating func string() throws -> Range<Int> {
        guard try peek() == UInt8(ascii: "\"") else { throw Malformed(offset: at) }
        let start = at + 1
        var end = start
        while end < bytes.count {
            if bytes[end] == UInt8(ascii: "\"") {
                at = end + 1
                return start..<end
            }
            end += bytes[end] == UInt8(ascii: "\\") ? 2 : 1
        }
        throw NeedsMore()
    }

    /// Any value, not looked into.
    mutating func skipValue() throws {
        var depth = 0
        repeat {
            switch try peek() {
            case UInt8(ascii: "\""): _ = try string()
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                at += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                guard depth > 0 else { throw Malformed(offset: at) }
                depth -= 1
                at += 1
            case UInt8(ascii: ","), UInt8(ascii: ":"):
                guard depth > 0 else { throw Malformed(offset: at) }
                at += 1
            default: _ = try bare()
            }
        } while depth > 0
    }

    /// A number, `true`, `NaN` and the like: up to what ends it, which has to be there.
    mutating func bare() throws -> Range<Int> {
        let start = at
        var end = at
        while end < bytes.count {
            switch bytes[end] {
            case UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: ":"), 0x20, 0x0A, 0x0D, 0x09:
                guard end > start else { throw Malformed(offset: start) }
                at = end
                return start..<end
            default: end += 1
            }
        }
        throw NeedsMore()
    }

    /// One flat object with `value`, `timestamp`, `step` and perhaps `run_id`. An absent number is 0, as protobuf's JSON has it.
    mutating func point() throws -> (run: Range<Int>, point: MetricPoint) {
        var point = MetricPoint(value: 0, timestamp: 0, step: 0)
        var run = at..<at
        guard try peek() == UInt8(ascii: "{") else { throw Malformed(offset: at) }
        at += 1
        if try peek() == UInt8(ascii: "}") {
            at += 1
            return (run, point)
        }
        while true {
            let name = try string()
            try colon()
            let first = try peek()
            if first == UInt8(ascii: "n"), !bytes[try bare()].elementsEqual("null".utf8) { throw Malformed(offset: at) }
            switch bytes[name] {
            case _ where first == UInt8(ascii: "n"): break
            case let name where name.elementsEqual("value".utf8): point.value = try double()
            case let name where name.elementsEqual("timestamp".utf8): point.timestamp = try integer()
            case let name where name.elementsEqual("step".utf8): point.step = try integer()
            case let name where name.elementsEqual("run_id".utf8) && first == UInt8(ascii: "\""): run = try string()
            default: try skipValue()
            }
            let separator = try peek()
            at += 1
            if separator == UInt8(ascii: "}") { return (run, point) }
            guard separator == UInt8(ascii: ","), try peek() == UInt8(ascii: "\"") else { throw Malformed(offset: at - 1) }
        }
    }

    /// A number or a string that holds one.
    private mutating func scalar() throws -> Range<Int> {
        try peek() == UInt8(ascii: "\"") ? try string() : try bare()
    }

    private mutating func integer() throws -> Int64 {
        let text = try scalar()
        var value: Int64 = 0
        var index = text.lowerBound
        let isNegative = index < text.upperBound && bytes[index] == UInt8(ascii: "-")
        if isNegative { index += 1 }
        guard index < text.upperBound else { throw Malformed(offset: text.lowerBound) }
        while index < text.upperBound {
            let digit = bytes[index] &- 0x30
            // 1.0 and 1e3 are integers too; rare, so they take the long way.
            guard digit <= 9 else { return try integer(fromDouble: text) }
            let (shifted, tooLarge) = value.multipliedReportingOverflow(by: 10)
            let (next, over) =
                isNegative ? shifted.subtractingReportingOverflow(Int64(digit)) : shifted.addingReportingOverflow(Int64(digit))
            guard !tooLarge, !over else { throw Malformed(offset: text.lowerBound) }
            value = next
            index += 1
        }
        return value
    }

    private func integer(fromDouble text: Range<Int>) throws -> Int64 {
        guard let value = Int64(exactly: try Self.double(bytes, text)) else { throw Malformed(offset: text.lowerBound) }
        return value
    }

    private mutating func double() throws -> Double { try Self.double(bytes, try scalar()) }

    /// Powers of ten that a double holds exactly.
    private static let powers: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    ]

    /// JSON's numbers, and `NaN`, `Infinity`, `-Infinity`. Correctly rounded.
    private static func double(_ bytes: UnsafeBufferPointer<UInt8>, _ text: Range<Int>) throws -> Double {
        var index = text.lowerBound
        let isNegative = index < text.upperBound && bytes[index] == UInt8(ascii: "-")
        if isNegative { index += 1 }
        let digitsStart = index
        var mantissa: UInt64 = 0
        var digits = 0
        var exponent = 0
        while index < text.upperBound, bytes[index] &- 0x30 <= 9 {
            if digits < 19 { mantissa = mantissa &* 10 &+ UInt64(bytes[index] &- 0x30) }
            digits += 1
            index += 1
        }
        let whole = index - digitsStart
        guard whole > 0 else { return try special(bytes, text) }
        if index < text.upperBound, bytes[index] == UInt8(ascii: ".") {
            index += 1
            let fraction = index
            while index < text.upperBound, bytes[index] &- 0x30 <= 9 {
                if digits < 19 { mantissa = mantissa &* 10 &+ UInt64(bytes[index] &- 0x30) }
                digits += 1
                index += 1
            }
            guard index > fraction else { throw Malformed(offset: text.lowerBound) }
            exponent = fraction - index
        }
        if index < text.upperBound, bytes[index] | 0x20 == UInt8(ascii: "e") {
            index += 1
            let isDown = index < text.upperBound && bytes[index] == UInt8(ascii: "-")
            if index < text.upperBound, isDown || bytes[index] == UInt8(ascii: "+") { index += 1 }
            let start = index
            var given = 0
            while index < text.upperBound, bytes[index] &- 0x30 <= 9 {
                given = min(given * 10 + Int(bytes[index] &- 0x30), 1_000_000)
                index += 1
            }
            guard index > start else { throw Malformed(offset: text.lowerBound) }
            exponent += isDown ? -given : given
        }
        guard index == text.upperBound else { throw Malformed(offset: text.lowerBound) }
        // Mantissa and power are both exact: one rounding, so the result is the right one (Clinger's fast path).
        if digits <= 19, mantissa < 1 << 53, exponent >= -22, exponent <= 22 {
            let value = exponent < 0 ? Double(mantissa) / powers[-exponent] : Double(mantissa) * powers[exponent]
            return isNegative ? -value : value
        }
        return strtod(bytes, text)
    }

    /// The text was checked to be a number and nothing else; it ends at a byte that no number goes on with.
    private static func strtod(_ bytes: UnsafeBufferPointer<UInt8>, _ text: Range<Int>) -> Double {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: text.count + 1) { copy in
            for (offset, index) in text.enumerated() { copy[offset] = CChar(bitPattern: bytes[index]) }
            copy[text.count] = 0
            return copy.baseAddress.map { Glibc.strtod($0, nil) } ?? .nan
        }
    }

    private static func special(_ bytes: UnsafeBufferPointer<UInt8>, _ text: Range<Int>) throws -> Double {
        switch bytes[text] {
        case let word where word.elementsEqual("NaN".utf8): .nan
        case let word where word.elementsEqual("Infinity".utf8): .infinity
        case let word where word.elementsEqual("-Infinity".utf8): -.infinity
        default: throw Malformed(offset: text.lowerBound)
        }
    }
}
