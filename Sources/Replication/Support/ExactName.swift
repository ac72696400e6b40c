/// A name as its bytes are. Two Unicode forms of one text (`é` as one scalar or as two) are one `String`, and two names to every store.
public struct ExactName: Hashable, Comparable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    public let text: String
    public init(_ text: String) { self.text = text }
    public init(stringLiteral text: String) { self.text = text }
    public var description: String { text }
    /// Told apart from what looks the same.
    var spelled: String { "\(text) (\(text.utf8.map { String($0, radix: 16) }.joined()))" }
    public static func == (a: Self, b: Self) -> Bool { a.text.isExactly(b.text) }
    public static func < (a: Self, b: Self) -> Bool { a.text.utf8.lexicographicallyPrecedes(b.text.utf8) }
}

extension String {
    /// Byte for byte. What is equal so has one hash value, too.
    public func isExactly(_ other: String) -> Bool {
        self == other && utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
    }
}
