/// How a name is made of one that the secondary does not take: its own text with two places, `{last}` (the last part of a path) or `{path}`
/// (all of it), and `{hash}`, eight digits that keep two names two.
public struct NameTemplate: Sendable, Hashable, CustomStringConvertible {
    public let description: String

    /// - Returns: nil when one of the places is missing or comes twice, or there is anything else but letters, digits, `-` and `_`, or one of these
    ///   two comes first.
    public init?(_ text: String) {
        let places = ["{last}", "{path}"].filter { text.contains($0) }
        guard places.count == 1, let place = places.first else { return nil }
        var rest = text
        for name in [place, "{hash}"] {
            guard let range = rest.firstRange(of: name) else { return nil }
            rest.removeSubrange(range)
        }
        let isPlain = rest.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            default: "-_".utf8.contains(byte)
            }
        }
        guard isPlain, rest.utf8.count <= 64, !text.hasPrefix("-"), !text.hasPrefix("_") else { return nil }
        description = text
    }

    private init(known: String) { description = known }

    public static let last = NameTemplate(known: "{last}-{hash}")
    public static let path = NameTemplate(known: "{path}-{hash}")

    var isOfLastPart: Bool { description.contains("{last}") }
    private var place: String { isOfLastPart ? "{last}" : "{path}" }

    /// In characters, without its places.
    var length: Int { description.count - place.count - "{hash}".count }

    func filled(name: String, digest: String) -> String {
        description.replacing("{hash}", with: digest).replacing(place, with: name)
    }
}
