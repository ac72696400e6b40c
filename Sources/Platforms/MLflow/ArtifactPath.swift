import Replication

/// What a file's path may look like: it comes from a server and is never trusted.
enum ArtifactPath {
    /// No store keeps a file of more than a petabyte; in an answer it is a mistake.
    static func fault(ofSize bytes: Int64) -> String? {
        bytes < 0 ? "a negative size" : bytes > 1 << 50 ? "a size of more than a petabyte" : nil
    }

    /// Why a relative path is no path of a file below some root; nil where it is one.
    static func fault(_ path: String) -> String? {
        if path.isEmpty { return "an empty name" }
        if path.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) { return "a control character in the name" }
        if path.hasPrefix("/") || path.hasPrefix("\\") { return "an absolute path" }
        let start = Array(path.utf8.prefix(3))
        if start.count == 3, start[1] == UInt8(ascii: ":"), start[2] == UInt8(ascii: "\\") || start[2] == UInt8(ascii: "/"),
            start[0] | 0x20 >= UInt8(ascii: "a"), start[0] | 0x20 <= UInt8(ascii: "z")
        {
            return "a path with a drive"
        }
        for part in path.split(separator: "/", omittingEmptySubsequences: false) {
            if part.isEmpty || part == "." { return "an empty part in the path" }
            if part.split(separator: "\\", omittingEmptySubsequences: false).contains("..") { return "a part that leads upwards" }
        }
        return nil
    }

    /// Why an entry cannot be one of a directory's listing; nil where it can.
    static func fault(ofEntry path: String, under directory: String) -> String? {
        if let fault = fault(path) { return fault }
        if path == directory { return "a directory that lists itself" }
        let rest = directory.isEmpty ? path[...] : path.hasPrefix(directory + "/") ? path.dropFirst(directory.count + 1) : ""
        return rest.isEmpty || rest.contains("/") ? "not in the directory that was asked for" : nil
    }

    /// Why an MLflow server would take another file for this one; nil where it does not.
    ///
    /// It decodes percent escapes in a path until nothing changes, refuses `#`, and takes the path apart as a URI and together again
    /// (`validate_path_is_safe` and `_decode` of mlflow/utils/uri.py): `a%20b` would become `a b`, `a;` would become `a`.
    static func faultOnServer(_ path: String) -> String? {
        let bytes = Array(path.utf8)
        if bytes.contains(UInt8(ascii: "#")) { return "a # in the name, which MLflow servers refuse" }
        for index in bytes.indices.dropLast(2) where bytes[index] == UInt8(ascii: "%") {
            if PercentEncoding.hexadecimal(bytes[index + 1]) != nil, PercentEncoding.hexadecimal(bytes[index + 2]) != nil {
                return "a percent escape in the name, which MLflow servers decode once more"
            }
        }
        if bytes.last == UInt8(ascii: ";") || bytes.last == UInt8(ascii: "?") || path.contains(";?") {
            return "a name that ends in ; or ?, which MLflow servers drop"
        }
        return nil
    }

    /// Why a path cannot be sent alone, without a root before it: what looks like the scheme of a URI is changed to lower case.
    static func faultAsQuery(_ path: String) -> String? {
        if let fault = faultOnServer(path) { return fault }
        if path.hasPrefix(" ") { return "a name that begins with a space, which MLflow servers drop" }
        let scheme = path.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "+" || $0 == "-" || $0 == ".") }
        guard path[scheme.endIndex...].hasPrefix(":"), scheme.first?.isLetter == true else { return nil }
        return scheme.lowercased() == scheme && scheme != "file" ? nil : "a name that MLflow servers take for an address"
    }
}

/// How an owner's files are reached.
enum ArtifactRoute: Sendable, Hashable {
    /// Through `/api/2.0/mlflow-artifacts/artifacts/`, below this path, not encoded.
    case proxy(String)
    /// Through the calls of the tracking server that name the owner: it alone opens the root.
    case server

    /// A root is an address that the store gave; it is never opened here, and never leads to another host.
    init(root: String, endpoint: MLflowEndpoint) {
        let anchor = "/api/2.0/mlflow-artifacts/artifacts/"
        var path: Substring?
        if root.hasPrefix("mlflow-artifacts:") {
            let rest = root.dropFirst("mlflow-artifacts:".count)
            if rest.hasPrefix("//") {
                let authority = rest.dropFirst(2).prefix { $0 != "/" }
                if authority.isEmpty || authority.lowercased() == endpoint.host { path = rest.dropFirst(2 + authority.count) }
            } else {
                path = rest
            }
        } else if root.hasPrefix(endpoint.baseURL + anchor) {
            path = root.dropFirst(endpoint.baseURL.count + anchor.count)
        }
        guard var path else {
            self = .server
            return
        }
        while path.hasPrefix("/") { path.removeFirst() }
        while path.hasSuffix("/") { path.removeLast() }
        let isUsable = ArtifactPath.fault(String(path)) == nil && ArtifactPath.faultOnServer(String(path)) == nil
        self = isUsable ? .proxy(String(path)) : .server
    }
}
