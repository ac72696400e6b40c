import Curl

/// What a request is about, by the same names on every platform.
public enum RequestClass: String, Sendable, Hashable, CaseIterable {
    case experiments
    case runs
    /// Metric histories that are read, and batches that are written to runs.
    case points
    /// Logged models, registered models and their versions.
    case models
    /// Their lists, their bytes, and addresses for them.
    case files
    /// What proves who asks, where that is got first.
    case tokens
    case other
}

extension HTTPRequest {
    func about(_ kind: RequestClass) -> HTTPRequest {
        var request = self
        request.label = kind.rawValue
        return request
    }
}

extension MLflowCall {
    /// By its path alone: whatever is asked of a file, of whomever, is `files`.
    var requestClass: RequestClass {
        let parts = path.prefix { $0 != "?" }.split(separator: "/")
        let ofFiles: Set<Substring> = ["artifacts", "mlflow-artifacts", "get-artifact", "upload-artifact"]
        if parts.contains(where: { ofFiles.contains($0) }) { return .files }
        guard let start = parts.firstIndex(of: "mlflow") else { return .other }
        let route = parts[(start + 1)...].drop { $0 == "unity-catalog" }
        switch route.first {
        case "experiments": return .experiments
        case "runs": return route.dropFirst().first == "log-batch" ? .points : .runs
        case "metrics": return .points
        case "logged-models", "registered-models", "model-versions": return .models
        default: return .other
        }
    }
}
