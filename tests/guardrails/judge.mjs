// Answers requests by iam-simulate, which is in the folder of the first argument.
//
// Standard input has policies by name and requests; standard output gets an answer for each request: "allowed", "denied", or what is
// wrong with the request or a policy.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const { anonymousPrincipal, runSimulation, runUnsafeSimulation } = createRequire(join(process.argv[2], 'package.json'))('@cloud-copilot/iam-simulate')

const everything = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }
// The caller's own policies allow everything. They do not suffice for another account's resource, nor for a role or a key: the policy
// of the resource then allows it too.
function suffices(request) {
  return request.principal.split(':')[4] === request.owner && !/^(sts|kms):/.test(request.action)
}

function open(request) {
  return { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: '*', Action: request.action, Resource: request.resource }] }
}

// Those of people.py name the policies of the caller, the boundary, and the trust policy of the role that is wanted.
function named(names, policies) {
  return names.map((name) => ({ name, policy: policies[name] }))
}

const full = { name: 'FullAWSAccess', policy: everything }

// What is attached to the account; the levels above have FullAWSAccess alone.
function levels(names, policies, first) {
  return [{ orgIdentifier: 'account', policies: [...first, ...names.map((name) => ({ name, policy: policies[name] }))] }]
}

async function answer(request, policies) {
  const anonymous = request.principal === 'anonymous'
  const identity = request.principal.startsWith('arn:')
  const simulation = {
    request: {
      principal: anonymous ? anonymousPrincipal : request.principal,
      action: request.action,
      resource: { resource: request.resource, accountId: request.owner },
      contextVariables: request.context
    },
    identityPolicies: request.identity ? named(request.identity, policies) : identity ? [{ name: 'everything', policy: everything }] : [],
    permissionBoundaryPolicies: request.boundary ? named(request.boundary, policies) : undefined,
    serviceControlPolicies: identity && request.scps ? levels(request.scps, policies, [full]) : [],
    resourceControlPolicies: request.rcps ? levels(request.rcps, policies, []) : [],
    resourcePolicy: request.trust ? policies[request.trust] : suffices(request) ? undefined : open(request)
  }
  // Some resources of AWS itself have ARNs that the service authorization reference does not have: they are not checked.
  if (request.unknown_arn && !simulation.resourcePolicy) {
    for (const level of simulation.resourceControlPolicies) level.policies.unshift({ ...full, name: 'RCPFullAWSAccess' })
    return runUnsafeSimulation(simulation, {}) === 'Allowed' ? 'allowed' : 'denied'
  }
  const result = await runSimulation(simulation, {})
  if (result.resultType === 'error') return JSON.stringify(result.errors)
  const results = result.resultType === 'single' ? [result.result] : result.results
  const ignored = results.flatMap((one) => one.ignoredContextKeys ?? [])
  if (ignored.length > 0) return `ignored: ${ignored.join(' ')}`
  return result.overallResult === 'Allowed' ? 'allowed' : result.overallResult.endsWith('Denied') ? 'denied' : result.overallResult
}

const { policies, requests } = JSON.parse(readFileSync(0, 'utf8'))
const answers = []
for (const request of requests) answers.push(await answer(request, policies))
process.stdout.write(JSON.stringify(answers))
