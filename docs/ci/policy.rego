# Custom rules for a plan, for conftest or OPA:
#
#     tunedmodels plan --format policy > policy.json
#     conftest test policy.json --policy docs/ci
#
# `tunedmodels schema policy` prints the schema of the input. The rules also accept a plan alone
# (plan --format json, or the file of plan --out); rules about models do not apply then. The Project
# manifest covers base models, providers, names, required labels, budgets, protected names and days
# without applies itself (spec.policy), without Rego.
package main

import rego.v1

plan := object.get(input, "plan", input)

models := object.get(input, "models", [])

# A model of tier gold must have a gate.
deny contains message if {
	some model in models
	model.labels.tier == "gold"
	not model.hasGate
	message := sprintf("%s: a model of tier gold needs a gate, spec.evaluation.atLeast", [model.name])
}

# A serving version is deleted only when another version replaces it.
deny contains message if {
	some change in plan.changes
	change.action == "delete"
	change.before.serves
	message := sprintf("%s: %s serves now; after the deletion no version serves", [change.name, change.before.modelId])
}

# Training requires at least 20 examples.
deny contains message if {
	some change in plan.changes
	change.action in {"create", "replace", "retry"}
	change.after.examples < 20
	message := sprintf("%s: only %d examples", [change.name, change.after.examples])
}

# One pull request trains at most three models.
deny contains message if {
	trained := [change.name | some change in plan.changes; change.action in {"create", "replace", "retry"}]
	count(trained) > 3
	message := sprintf("%d models would be trained at once: %s", [count(trained), concat(", ", trained)])
}

# A change made outside tunedmodels is a warning in the pull request.
warn contains message if {
	some change in plan.changes
	change.drift
	message := sprintf("%s: %s", [change.name, change.reason])
}
