public import Replication

extension Dialect {
    /// Takes away what Azure ML lacks; the limits are the test's own.
    ///
    /// - Parameter nameLength: of experiments and registered models.
    public mutating func lackWhatAzureMLLacks(nameLength: Int) {
        hasLoggedModels = false
        hasAliases = false
        experimentNames = NameRule(punctuation: "-_", length: nameLength)
        modelNames = NameRule(punctuation: "-._", length: nameLength)
        renamesExperiments = false
        renamesModels = false
        deletesExperimentTags = false
        registersOwnFilesOnly = true
    }
}
