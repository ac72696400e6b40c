/// A listed name is the primary's data. It may only ever lead to a place inside its owner's root.
public enum ArtifactPath {
    /// Why a path is refused; nil when it is safe.
    public static func refusal(_ path: String) -> String? {
        if path.isEmpty { return "an empty path" }
        if path.hasPrefix("/") { return "an absolute path" }
        if path.unicodeScalars.contains(where: { $0.value == 0 }) { return "a NUL character" }
        if path.contains("\\") { return "a backslash" }
        for part in path.split(separator: "/", omittingEmptySubsequences: false) {
            if part.isEmpty { return "an empty part" }
            if part == "." || part == ".." { return "a part \"\(part)\"" }
        }
        return nil
    }
}
