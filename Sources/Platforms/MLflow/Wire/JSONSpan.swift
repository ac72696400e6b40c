import Foundation

/// Finds the parts of a JSON text without understanding their values.
///
/// It is lenient on purpose: one entity that no JSON parser accepts (a bare `NaN`, a lone surrogate, bytes that are not UTF-8, nesting of
/// a thousand levels) is still cut out whole, so that the rest of its page can be read.
enum JSONSpan {
    struct Malformed: Error, Sendable, CustomStringConvertible {
        var offset: Int
        var description: String { "not JSON at byte \(offset)" }
    }

    /// The members of the object that the range holds, in their order; the first of equal names is the one that counts.
    static func members(of bytes: [UInt8], in range: Range<Int>) throws(Malformed) -> [(name: Range<Int>, value: Range<Int>)] {
        var members: [(name: Range<Int>, value: Range<Int>)] = []
        var at = skipSpace(bytes, range.lowerBound, range.upperBound)
        guard at < range.upperBound, bytes[at] == UInt8(ascii: "{") else { throw Malformed(offset: at) }
        at = skipSpace(bytes, at + 1, range.upperBound)
        if at < range.upperBound, bytes[at] == UInt8(ascii: "}") { return [] }
        while true {
            guard at < range.upperBound, bytes[at] == UInt8(ascii: "\"") else { throw Malformed(offset: at) }
            let nameEnd = try end(ofValue: bytes, at, range.upperBound)
            let name = at + 1..<nameEnd - 1
            at = skipSpace(bytes, nameEnd, range.upperBound)
            guard at < range.upperBound, bytes[at] == UInt8(ascii: ":") else { throw Malformed(offset: at) }
            at = skipSpace(bytes, at + 1, range.upperBound)
            let valueEnd = try end(ofValue: bytes, at, range.upperBound)
            members.append((name, at..<valueEnd))
            at = skipSpace(bytes, valueEnd, range.upperBound)
            guard at < range.upperBound else { throw Malformed(offset: at) }
            if bytes[at] == UInt8(ascii: "}") { return members }
            guard bytes[at] == UInt8(ascii: ",") else { throw Malformed(offset: at) }
            at = skipSpace(bytes, at + 1, range.upperBound)
        }
    }

    /// The elements of the array that the range holds. `null` holds none.
    static func elements(of bytes: [UInt8], in range: Range<Int>) throws(Malformed) -> [Range<Int>] {
        if bytes[range].elementsEqual("null".utf8) { return [] }
        var elements: [Range<Int>] = []
        var at = skipSpace(bytes, range.lowerBound, range.upperBound)
        guard at < range.upperBound, bytes[at] == UInt8(ascii: "[") else { throw Malformed(offset: at) }
        at = skipSpace(bytes, at + 1, range.upperBound)
        if at < range.upperBound, bytes[at] == UInt8(ascii: "]") { return [] }
        while true {
            let valueEnd = try end(ofValue: bytes, at, range.upperBound)
            elements.append(at..<valueEnd)
            at = skipSpace(bytes, valueEnd, range.upperBound)
            guard at < range.upperBound else { throw Malformed(offset: at) }
            if bytes[at] == UInt8(ascii: "]") { return elements }
            guard bytes[at] == UInt8(ascii: ",") else { throw Malformed(offset: at) }
            at = skipSpace(bytes, at + 1, range.upperBound)
        }
    }

    /// The value at a path of member names; nil where there is none.
    static func value(of bytes: [UInt8], in range: Range<Int>, at path: [String]) -> Range<Int>? {
        var range = range
        for name in path {
            guard let members = try? members(of: bytes, in: range),
                let member = members.first(where: { bytes[$0.name].elementsEqual(name.utf8) })
            else { return nil }
            range = member.value
        }
        return range
    }

    /// A string value, unescaped.
    static func string(of bytes: [UInt8], in range: Range<Int>, at path: [String]) -> String? {
        value(of: bytes, in: range, at: path).flatMap { try? JSONDecoder().decode(String.self, from: Data(bytes[$0])) }
    }

    /// The text between a string's quotes.
    static func unescaped(_ text: some Collection<UInt8>) -> String {
        let plain = String(decoding: text, as: UTF8.self)
        guard text.contains(UInt8(ascii: "\\")) else { return plain }
        return (try? JSONDecoder().decode(String.self, from: Data("\"\(plain)\"".utf8))) ?? plain
    }

    /// A value in the one form that it has whatever the order of names and the space between them. Texts and numbers stay as they are written;
    /// what is neither, as a bare `NaN`, becomes a text.
    ///
    /// - Parameter depth: how many levels it may have.
    static func canonical(of bytes: [UInt8], in range: Range<Int>, depth: Int = 32) throws(Malformed) -> [UInt8] {
        guard depth > 0 else { throw Malformed(offset: range.lowerBound) }
        var result: [UInt8] = []
        switch bytes[range.lowerBound] {
        case UInt8(ascii: "{"):
            let members = try members(of: bytes, in: range)
            for member in members.sorted(by: { bytes[$0.name].lexicographicallyPrecedes(bytes[$1.name]) }) {
                result.append(result.isEmpty ? UInt8(ascii: "{") : UInt8(ascii: ","))
                result.append(UInt8(ascii: "\""))
                result += bytes[member.name]
                result += Array("\":".utf8)
                result += try canonical(of: bytes, in: member.value, depth: depth - 1)
            }
            result += Array((result.isEmpty ? "{}" : "}").utf8)
            return result
        case UInt8(ascii: "["):
            for element in try elements(of: bytes, in: range) {
                result.append(result.isEmpty ? UInt8(ascii: "[") : UInt8(ascii: ","))
                result += try canonical(of: bytes, in: element, depth: depth - 1)
            }
            result += Array((result.isEmpty ? "[]" : "]").utf8)
            return result
        default:
            let isWord = ["true", "false", "null"].contains { bytes[range].elementsEqual($0.utf8) }
            let isNumber = bytes[range].allSatisfy { "0123456789+-.eE".utf8.contains($0) }
            if isWord || isNumber || bytes[range.lowerBound] == UInt8(ascii: "\"") { return Array(bytes[range]) }
            result.append(UInt8(ascii: "\""))
            result += bytes[range]
            result.append(UInt8(ascii: "\""))
            return result
        }
    }

    /// Where the value that starts at `start` ends. No recursion: depth is a number.
    private static func end(ofValue bytes: [UInt8], _ start: Int, _ limit: Int) throws(Malformed) -> Int {
        var depth = 0
        var at = start
        while at < limit {
            switch bytes[at] {
            case UInt8(ascii: "\""):
                at += 1
                while at < limit, bytes[at] != UInt8(ascii: "\"") { at += bytes[at] == UInt8(ascii: "\\") ? 2 : 1 }
                guard at < limit else { throw Malformed(offset: start) }
                if depth == 0 { return at + 1 }
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if depth == 0 { return try bare(start, at) }
                depth -= 1
                if depth == 0 { return at + 1 }
            case UInt8(ascii: ","), UInt8(ascii: ":"), 0x20, 0x0A, 0x0D, 0x09:
                if depth == 0 { return try bare(start, at) }
            default: break
            }
            at += 1
        }
        guard depth == 0 else { throw Malformed(offset: start) }
        return try bare(start, at)
    }

    private static func bare(_ start: Int, _ end: Int) throws(Malformed) -> Int {
        guard end > start else { throw Malformed(offset: start) }
        return end
    }

    static func skipSpace(_ bytes: [UInt8], _ start: Int, _ limit: Int) -> Int {
        var at = start
        while at < limit, bytes[at] == 0x20 || bytes[at] == 0x0A || bytes[at] == 0x0D || bytes[at] == 0x09 { at += 1 }
        return at
    }
}
