// Runs gpuctl for main.js and post.js. No dependencies: what runs in a job with cloud credentials is what is read here.
'use strict'

const { spawn } = require('node:child_process')

// The runner signals this process only. gpuctl must receive the signal to terminate what it started.
function run (words, env, stdout) {
  return new Promise((resolve) => {
    // Before the start: a signal that came between the two would end this process and leave gpuctl running.
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
    const child = spawn('gpuctl', words, { env: { ...process.env, ...env }, stdio: ['ignore', stdout, 'inherit'] })
    const chunks = []
    if (child.stdout) child.stdout.on('data', (chunk) => chunks.push(chunk))
    child.on('error', (error) => {
      const missing = 'gpuctl is not installed: install it in an earlier step'
      report('error', error.code === 'ENOENT' ? missing : error.message)
      resolve({ code: 1, output: '' })
    })
    child.on('close', (code) => resolve({ code: code === null ? 1 : code, output: Buffer.concat(chunks).toString() }))
  })
}

function report (level, message) {
  const escaped = message.replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A')
  process.stdout.write(`::${level}::${escaped}\n`)
}

module.exports = { report, run }
