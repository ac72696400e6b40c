import Replication

/// The address of an MLflow backend database, as `--backend-store-uri` has it: `sqlite:////absolute/path` or `sqlite:///relative/path`.
public struct DatabaseURI: Sendable, Hashable, CustomStringConvertible {
    /// The file; a relative one is relative to the working folder.
    public let path: String

    static let later = ["postgresql", "postgres", "mysql", "mssql", "oracle"]

    /// - Throws: `FeedError`, which never repeats the text: it may hold a password.
    public init(_ text: String) throws {
        let expected = "expected sqlite:////ABSOLUTE/PATH or sqlite:///RELATIVE/PATH"
        guard let separator = text.firstRange(of: "://") else {
            throw FeedError("the database's address has no scheme; \(expected)")
        }
        let scheme = text[..<separator.lowerBound].lowercased()
        let dialect = scheme.prefix { $0 != "+" }
        guard scheme == "sqlite" || scheme == "sqlite+pysqlite" else {
            if let known = Self.later.first(where: { $0 == dialect }) {
                throw FeedError("changes of a \(known) database come with a later version; use feed: poll")
            }
            throw FeedError("the database's address has an unknown scheme; \(expected). For anything else use feed: poll")
        }
        let rest = text[separator.upperBound...].prefix { $0 != "?" }
        guard rest.first == "/" else { throw FeedError("the database's address must have no host; \(expected)") }
        let path = String(rest.dropFirst())
        guard !path.isEmpty, path != ":memory:", !path.hasPrefix("file:"), !path.contains("\0") else {
            throw FeedError("the database's address names no file; \(expected)")
        }
        self.path = path
    }

    public init(path: String) { self.path = path }

    public var description: String { "sqlite:///\(path)" }

    /// What a user is told to run.
    public var installCommand: String { "mlmirror feed install --database \(shellWord)" }

    private var shellWord: String {
        let text = description
        let isPlain = text.allSatisfy { $0.isLetter || $0.isNumber || "/:._-+@%".contains($0) }
        return isPlain ? text : "'" + text.replacing("'", with: "'\\''") + "'"
    }
}
