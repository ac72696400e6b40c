/// A page of a run's files, by their paths.
struct FilePage: Decodable, Sendable {
    struct Record: Decodable, Sendable { var path: String }
    var value: [Record]?
    var continuationToken: String?
    /// What the official client follows (azureml-mlflow's `_run_artifacts_operations.py`, `list_in_container`).
    var nextLink: String?

    struct NoWay: Error {}

    /// The token of the next page; nil after the last one.
    ///
    /// - Throws: where there is more, and no way to it.
    func next() throws(NoWay) -> String? {
        if let token = continuationToken, !token.isEmpty { return token }
        guard let link = nextLink, !link.isEmpty else { return nil }
        let query = link.split(separator: "?", maxSplits: 1).dropFirst().first ?? ""
        let name = "continuationToken="
        guard let token = query.split(separator: "&").first(where: { $0.hasPrefix(name) })?.dropFirst(name.count),
            let decoded = PercentEncoding.decode(token.replacing("+", with: "%20")), !decoded.isEmpty
        else { throw NoWay() }
        return decoded
    }
}
