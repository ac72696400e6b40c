/// Compares a run with its image, field by field. Histories and files are compared on their own.
enum RunComparison {
    static func differences(_ run: Run, _ image: RunImage, _ there: Run) -> [Difference] {
        var fields = FieldComparison(.run, run.id.rawValue, there.id.rawValue)
        fields.compare("experiment", image.experiment.rawValue, there.experiment.rawValue)
        if !image.name.isEmpty { fields.compare("name", image.name, there.name) }
        fields.compare("user", image.userID, there.userID)
        fields.compare("status", image.status.rawValue, there.status.rawValue)
        fields.compare("start_time", "\(image.startTime)", "\(there.startTime)")
        fields.compare("end_time", image.endTime.map { "\($0)" }, there.endTime.map { "\($0)" })
        fields.compare("lifecycle", image.lifecycle.rawValue, there.lifecycle.rawValue)
        var tagsThere = dictionary(there.tags)
        // A server that was given no name has made one up.
        if image.name.isEmpty { tagsThere["mlflow.runName"] = dictionary(image.tags)["mlflow.runName"] }
        fields.compare("tag:", dictionary(image.tags), tagsThere)
        fields.compare(
            "param:", dictionary(image.params.map { Tag($0.key, $0.value) }), dictionary(there.params.map { Tag($0.key, $0.value) }))
        fields.compare("metric:", latest(run), latest(there))
        fields.compare("input:", datasets(image.datasets), datasets(there.datasets))
        fields.compare("model_input:", ids(image.modelInputs), ids(there.modelInputs))
        fields.compare("model_output:", outputs(image.modelOutputs), outputs(there.modelOutputs))
        return fields.differences
    }

    static func dictionary(_ tags: [Tag]) -> [String: String] {
        named(tags.map { ($0.key, $0.value) })
    }

    /// Two Unicode forms of one text are two names to a store, and one to a `String`: the later is told apart by its bytes.
    private static func named(_ pairs: [(name: String, value: String)]) -> [String: String] {
        var found: [String: String] = [:]
        for (name, value) in pairs.map({ (ExactName($0.name), $0.value) }).sorted(by: { $0.0 < $1.0 }) {
            found[found[name.text] == nil ? name.text : name.spelled] = value
        }
        return found
    }

    /// The metrics of a run, by the field that a difference names.
    static func metrics(of run: Run) -> [String: String] {
        named(run.latestMetrics.map { ($0.key, $0.key) }).reduce(into: [:]) { $0["metric:" + $1.key] = $1.value }
    }

    private static func latest(_ run: Run) -> [String: String] {
        named(run.latestMetrics.map { ($0.key, text($0.point)) })
    }

    static func text(_ point: MetricPoint) -> String { "\(point.value) at step \(point.step), \(point.timestamp) ms" }

    private static func datasets(_ datasets: [DatasetInput]) -> [String: String] {
        Dictionary(
            datasets.map { dataset in
                let tags = dataset.tags.map { "\($0.key)=\($0.value)" }.sorted().joined(separator: ",")
                let content = [dataset.sourceType, dataset.source, dataset.schema ?? "", dataset.profile ?? "", tags].joined(separator: "|")
                return ("\(dataset.name) \(dataset.digest)", content)
            }, uniquingKeysWith: { "\($0);\($1)" })
    }

    private static func ids(_ models: [LoggedModelID]) -> [String: String] {
        Dictionary(models.map { ($0.rawValue, "") }, uniquingKeysWith: { first, _ in first })
    }

    private static func outputs(_ outputs: [ModelOutput]) -> [String: String] {
        Dictionary(outputs.map { ($0.model.rawValue, "step \($0.step)") }, uniquingKeysWith: { first, _ in first })
    }
}
