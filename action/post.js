// Terminates the instance at the end of the job. A canceled job has 5 minutes for this.
'use strict'

const { report, run } = require('./gpuctl.js')

const NOT_FOUND = 3

async function post () {
  const name = process.env.STATE_name
  if (!name) return 0
  const words = ['terminate', name, '--timeout', '4m']
  const { code } = await run(words, { GPUCTL_STATE_ID: process.env.STATE_stateId }, 'inherit')
  if (code === NOT_FOUND) return 0
  if (code !== 0) {
    report('warning', `gpuctl terminate ${name} exited with ${code}: the instance may still be running until its deadline`)
  }
  return code
}

post().then((code) => { process.exitCode = code })
