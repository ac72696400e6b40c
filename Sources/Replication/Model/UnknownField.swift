/// A field of a thing that nobody here knows the meaning of, because the server is newer than this program.
public struct UnknownField: Sendable, Hashable {
    /// Where it is in its thing: `info.mood`.
    public var path: String
    /// Its value as JSON, the same text for the same value; nil where it is too large, or too deep, to be carried.
    public var json: String?
    public init(path: String, json: String?) {
        self.path = path
        self.json = json
    }
}
