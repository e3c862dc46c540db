// Package fair shares what is scarce by owner: queues that serve owners in turn, and semaphores of which one owner gets a share. The
// store's owners are tenants: no tenant's requests keep another's waiting.
package fair
