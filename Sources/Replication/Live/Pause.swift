/// What people have told the daemon to leave for now. Changes are still seen and noted.
public enum Pause: String, Sendable, Hashable, CaseIterable {
    case nothing
    /// Only the files of runs and models.
    case artifacts
    case everything
}
