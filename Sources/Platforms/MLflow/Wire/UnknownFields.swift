import Replication

/// Fields of a server's answers that nothing is made of, because they are newer than this: counted, so that somebody is told.
///
/// Known are those of mlflow 3.17's `service.proto` and `model_registry.proto`, also where they are left on purpose.
final class UnknownFields: Sendable {
    private struct State {
        var counts: [String: Int] = [:]
        /// Entities that were looked at, by listing.
        var looked: [String: Int] = [:]
    }
    private let state = Locked(State())

    /// After so many of a listing only the first of each page is looked at.
    private static let most = 1000
    /// What an answer can make grow.
    private static let names = 100

    private static let known: [String: [String: Set<String>]] = [
        "experiments": [
            "": [
                "experiment_id", "name", "artifact_location", "lifecycle_stage", "last_update_time", "creation_time", "tags", "workspace",
                "effective_trace_archival_retention",
            ]
        ],
        "runs": [
            "": ["info", "data", "inputs", "outputs"],
            "info": [
                "run_id", "run_uuid", "run_name", "experiment_id", "user_id", "status", "start_time", "end_time", "artifact_uri",
                "lifecycle_stage",
            ],
            "data": ["metrics", "params", "tags"], "inputs": ["dataset_inputs", "model_inputs"], "outputs": ["model_outputs"],
        ],
        "models": [
            "": ["info", "data"],
            "info": [
                "model_id", "experiment_id", "name", "creation_timestamp_ms", "last_updated_timestamp_ms", "artifact_uri", "status",
                "creator_id", "model_type", "source_run_id", "status_message", "tags", "registrations",
            ],
            "data": ["params", "metrics"],
        ],
        "registered_models": [
            "": [
                "name", "creation_timestamp", "last_updated_timestamp", "user_id", "description", "latest_versions", "tags", "aliases",
                "deployment_job_id", "deployment_job_state",
            ]
        ],
        "model_versions": [
            "": [
                "name", "version", "creation_timestamp", "last_updated_timestamp", "user_id", "current_stage", "description", "source",
                "run_id", "status", "status_message", "tags", "run_link", "aliases", "model_id", "model_params", "model_metrics",
                "deployment_job_state",
            ]
        ],
    ]

    /// By `LISTING.PART.FIELD`, in how many things it was seen.
    var counts: [String: Int] { state.withLock { $0.counts } }

    /// - Parameter listing: the member of the answer that the entity is an element of.
    func look(at body: [UInt8], in entity: Range<Int>, of listing: String, isFirst: Bool) {
        guard let parts = Self.known[listing] else { return }
        let isDue = state.withLock { state in
            state.looked[listing, default: 0] += 1
            return isFirst || state.looked[listing, default: 0] <= Self.most
        }
        guard isDue, let members = try? JSONSpan.members(of: body, in: entity) else { return }
        note(body, members, parts[""] ?? [], listing)
        for member in members {
            let name = String(decoding: body[member.name], as: UTF8.self)
            guard let known = parts[name], let inner = try? JSONSpan.members(of: body, in: member.value) else { continue }
            note(body, inner, known, "\(listing).\(name)")
        }
    }

    private func note(_ body: [UInt8], _ members: [(name: Range<Int>, value: Range<Int>)], _ known: Set<String>, _ place: String) {
        for member in members {
            let name = String(decoding: body[member.name], as: UTF8.self)
            // An absent field, an empty one and `null` are the same.
            if known.contains(name) || body[member.value].elementsEqual("null".utf8) { continue }
            let field = "\(place).\(name.prefix(64))"
            state.withLock { state in
                guard state.counts[field] != nil || state.counts.count < Self.names else { return }
                state.counts[field, default: 0] += 1
            }
        }
    }
}
