/// Where a model version's files lie, translated from one store to the other. A source is data: it is never fetched, and only
/// forwarded when it leads to a mirrored place or to a cloud store by a plain address.
public enum VersionSource {
    public enum Translation: Sendable, Hashable {
        case translated(String)
        /// The same address serves both stores.
        case same(String)
        case refused(String)
    }

    /// A run's or logged model's artifact root on both sides.
    public struct Root: Sendable, Hashable {
        public var primary: String
        public var secondary: String
        public init(primary: String, secondary: String) {
            self.primary = primary
            self.secondary = secondary
        }
    }

    /// `models:/NAME/VERSION`: a version that was made from another one.
    public static func version(_ source: String) -> (model: ModelName, number: Int)? {
        guard source.hasPrefix("models:/"), let slash = source.lastIndex(of: "/"), let number = Int(source[source.index(after: slash)...])
        else { return nil }
        let name = source[source.index(source.startIndex, offsetBy: 8)..<max(slash, source.index(source.startIndex, offsetBy: 8))]
        return name.isEmpty || name.contains("/") ? nil : (ModelName(String(name)), number)
    }

    private static let cloudSchemes: Set<String> = ["s3", "gs", "wasb", "wasbs", "abfs", "abfss", "adl", "dbfs", "hdfs", "r2", "oss"]

    /// Where the files of runs and logged models lie on the secondary.
    public struct Places: Sendable, Hashable {
        public var runs: [RunID: String] = [:]
        public var models: [LoggedModelID: String] = [:]
        public init() {}
    }

    /// For a store that makes versions of its own files alone: every source as the address of such files.
    public static func place(_ source: String, _ places: Places, roots: [Root]) -> Translation {
        for (scheme, isModel) in [("runs:/", false), ("models:/", true)] where source.hasPrefix(scheme) {
            let rest = source.dropFirst(scheme.count).drop { $0 == "/" }
            let id = String(rest.prefix { $0 != "/" })
            let path = rest.dropFirst(id.count).drop { $0 == "/" }
            guard let root = isModel ? places.models[LoggedModelID(id)] : places.runs[RunID(id)] else {
                return .refused("it names a run or logged model that has no counterpart on the secondary")
            }
            if path.isEmpty { return .translated(root) }
            if let why = ArtifactPath.refusal(String(path)) { return .refused("it has \(why)") }
            return .translated("\(root)/\(path)")
        }
        let translation = translate(source, References.Map(), roots: roots)
        guard case .same = translation else { return translation }
        return .refused("the secondary makes versions of its own files alone")
    }

    public static func translate(_ source: String, _ map: References.Map, roots: [Root]) -> Translation {
        let found = References.find(inURI: source)
        if !found.isEmpty, source.hasPrefix("runs:/") || source.hasPrefix("models:/") {
            guard map.covers(found) else { return .refused("it names a run or logged model that has no counterpart on the secondary") }
            return .translated(References.rewrite(uri: source, map))
        }
        for root in roots where !root.primary.isEmpty && !root.secondary.isEmpty {
            let base = root.primary.hasSuffix("/") ? String(root.primary.dropLast()) : root.primary
            guard source == base || source.hasPrefix(base + "/") else { continue }
            let rest = source.dropFirst(base.count)
            if let why = rest.isEmpty || rest == "/" ? nil : ArtifactPath.refusal(String(rest.dropFirst())) {
                return .refused("it has \(why)")
            }
            return .translated((root.secondary.hasSuffix("/") ? String(root.secondary.dropLast()) : root.secondary) + rest)
        }
        // `models:/NAME/VERSION` means the same on both sides: names and numbers are kept.
        if source.hasPrefix("models:/"), !source.contains("..") { return .same(source) }
        let scheme = source.prefix { $0 != ":" }.lowercased()
        if cloudSchemes.contains(scheme), source.dropFirst(scheme.count).hasPrefix("://") {
            let parts = source.split(separator: "/")
            if parts.contains("..") || source.contains("?") || source.contains("#") || source.contains("%2e")
                || source.contains("@") && scheme == "s3"
            {
                return .refused("its address holds more than a plain path")
            }
            return .same(source)
        }
        return .refused("it lies outside every run and logged model that is mirrored")
    }
}
