/// Which store is the system of record.
public enum Mode: String, Sendable, Hashable, CaseIterable, Codable {
    case dual
    case azureMLOnly = "azureml-only"
}
