/// Reads a secret of one line from a file of its own.
struct SecretFile {
    let environment: Environment
    /// Where a relative path starts.
    let configurationPath: String?
    /// A systemd credential that is not there is no error: it is only looked whether the configuration is in order.
    var mayBeMissing = false

    func read(_ file: Setting<String>) throws -> Secret {
        let path = location(of: file.value)
        if mayBeMissing, !file.value.contains("/"), !TextFile.isReadable(path) { return Secret("") }
        var text = try TextFile.read(path, limit: 1 << 16, file.origin, what: "the secret in").text
        while text.last?.isNewline == true { text.removeLast() }
        guard !text.isEmpty else { throw ConfigurationError(file.origin, "\(path) is empty; expected one line") }
        guard text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
            throw ConfigurationError(file.origin, "\(path) holds more than one line or a control character; expected one line")
        }
        return Secret(text)
    }

    /// A bare name is a systemd credential where the service has some; any other relative path starts at the file's own folder.
    private func location(of path: String) -> String {
        if path.hasPrefix("/") { return path }
        if !path.contains("/"), let folder = environment["CREDENTIALS_DIRECTORY"] {
            // What `LoadCredential=mlmirror:FOLDER` makes of a file in a folder.
            let ofFolder = "\(folder)/mlmirror_\(path)"
            return TextFile.exists(ofFolder) ? ofFolder : "\(folder)/\(path)"
        }
        return TextFile.path(path, besides: configurationPath)
    }
}
