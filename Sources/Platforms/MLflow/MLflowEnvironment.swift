/// The settings that MLflow's own client takes from environment variables and from `~/.mlflow/credentials`.
public struct MLflowEnvironment: Sendable {
    private let variables: [String: String]
    /// The text of `~/.mlflow/credentials`; nil where there is none.
    private let credentialsFile: String?

    public init(_ variables: [String: String], credentialsFile: String? = nil) {
        self.variables = variables
        self.credentialsFile = credentialsFile
    }

    /// User and password win over a token, as in MLflow's `utils/rest_utils.py`; the environment wins over the file
    /// (`utils/credentials.py`), each value by itself.
    public var credentials: MLflowCredentials {
        let file = Self.section("mlflow", of: credentialsFile ?? "")
        let username = value("MLFLOW_TRACKING_USERNAME") ?? file["mlflow_tracking_username"]
        let password = value("MLFLOW_TRACKING_PASSWORD") ?? file["mlflow_tracking_password"]
        if let username, let password, !username.isEmpty { return .basic(username: username, password: password) }
        if let token = value("MLFLOW_TRACKING_TOKEN") { return .bearer(token: token) }
        return .none
    }

    /// Seconds; nil where unset or not a positive number.
    public var requestTimeout: Double? {
        value("MLFLOW_HTTP_REQUEST_TIMEOUT").flatMap(Double.init).flatMap { $0 > 0 && $0.isFinite ? $0 : nil }
    }

    private func value(_ name: String) -> String? { variables[name].flatMap { $0.isEmpty ? nil : $0 } }

    /// The names of an INI file's sections.
    static func sections(of text: String) -> Set<String> {
        Set(
            text.split(whereSeparator: \.isNewline).compactMap { line in
                let line = line.trimmingSpaces()
                guard line.hasPrefix("["), let end = line.firstIndex(of: "]") else { return nil }
                return String(line[line.index(after: line.startIndex)..<end])
            })
    }

    /// One section of an INI file as Python's `configparser` reads it: keys without case, `=` or `:`, whole-line comments.
    static func section(_ name: String, of text: String) -> [String: String] {
        var values: [String: String] = [:]
        var isInside = false
        for line in text.split(whereSeparator: \.isNewline) {
            let line = line.trimmingSpaces()
            if line.isEmpty || line.hasPrefix("#") || line.hasPrefix(";") { continue }
            if line.hasPrefix("["), let end = line.firstIndex(of: "]") {
                isInside = line[line.index(after: line.startIndex)..<end] == name
            } else if isInside, let separator = line.firstIndex(where: { $0 == "=" || $0 == ":" }) {
                let key = line[..<separator].trimmingSpaces().lowercased()
                values[key] = String(line[line.index(after: separator)...].trimmingSpaces())
            }
        }
        return values
    }
}

extension Substring {
    /// Without spaces and tabs at either end.
    func trimmingSpaces() -> Substring {
        var text = self
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }
}
